// What a service stands on: key and topics, network, data, rotation.
import * as cdk from 'aws-cdk-lib';
import * as backup from 'aws-cdk-lib/aws-backup';
import * as chatbot from 'aws-cdk-lib/aws-chatbot';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecr from 'aws-cdk-lib/aws-ecr';
import * as elasticache from 'aws-cdk-lib/aws-elasticache';
import * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as rds from 'aws-cdk-lib/aws-rds';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as secrets from 'aws-cdk-lib/aws-secretsmanager';
import * as sns from 'aws-cdk-lib/aws-sns';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { Base, PREFIX, Topics, bucket, encryptionKey, kitFunction, logGroup, queues, role, topics } from './shared';

export class Common extends Base {
  readonly key: kms.Key;
  readonly accessLogs: s3.Bucket;
  readonly topics: Topics;

  constructor(app: cdk.App) {
    super(app, 'common');
    this.key = encryptionKey(this, `alias/${PREFIX}`);
    this.accessLogs = bucket(this, 'AccessLogs', {
      encryption: s3.BucketEncryption.S3_MANAGED,
      lifecycleRules: [{ expiration: cdk.Duration.days(365) }],
    });
    for (const [service, path] of [['logging.s3.amazonaws.com', 's3/*'],
      ['logdelivery.elasticloadbalancing.amazonaws.com', 'elb/*']]) {
      this.accessLogs.addToResourcePolicy(new iam.PolicyStatement({
        principals: [new iam.ServicePrincipal(service)],
        actions: ['s3:PutObject'],
        resources: [this.accessLogs.arnForObjects(path)],
      }));
    }
    this.topics = topics(this, 'alarms', this.key);
    const pager = secrets.Secret.fromSecretCompleteArn(
      this, 'Pager', 'arn:aws:secretsmanager:us-east-1:333333333333:secret:pagerduty-AbCdEf');
    new sns.CfnSubscription(this, 'PagerDuty', {
      topicArn: this.topics.critical.topicArn,
      protocol: 'https',
      endpoint: pager.secretValueFromJson('url').unsafeUnwrap(),
    });
    const speaker = role(this, 'SlackRole', 'chatbot.amazonaws.com', [
      [['cloudwatch:DescribeAlarms', 'cloudwatch:GetMetricData'], ['*']],
    ]);
    new chatbot.SlackChannelConfiguration(this, 'Slack', {
      slackChannelConfigurationName: `${PREFIX}-alarms`,
      slackWorkspaceId: 'T0EXAMPLE',
      slackChannelId: 'C0EXAMPLE',
      loggingLevel: chatbot.LoggingLevel.ERROR,
      role: speaker,
      guardrailPolicies: [iam.ManagedPolicy.fromAwsManagedPolicyName('CloudWatchReadOnlyAccess')],
      notificationTopics: [this.topics.critical, this.topics.warning],
    });
  }
}

export class Network extends Base {
  readonly vpc: ec2.Vpc;
  readonly service: ec2.SubnetSelection = { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS };
  readonly database: ec2.SubnetSelection = { subnetType: ec2.SubnetType.PRIVATE_ISOLATED };

  constructor(app: cdk.App, common: Common) {
    super(app, 'network');
    this.vpc = new ec2.Vpc(this, 'Vpc', {
      ipAddresses: ec2.IpAddresses.cidr('10.0.0.0/16'),
      availabilityZones: this.availabilityZones,
      natGateways: 3,
      restrictDefaultSecurityGroup: true,
      subnetConfiguration: [
        { name: 'public', subnetType: ec2.SubnetType.PUBLIC, mapPublicIpOnLaunch: false },
        { name: 'service', subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS },
        { name: 'database', subnetType: ec2.SubnetType.PRIVATE_ISOLATED },
      ],
      gatewayEndpoints: {
        S3: { service: ec2.GatewayVpcEndpointAwsService.S3 },
        DynamoDb: { service: ec2.GatewayVpcEndpointAwsService.DYNAMODB },
      },
    });
    const group = logGroup(this, 'FlowLogs', `/llmops/${PREFIX}/flow`, common.key);
    this.vpc.addFlowLog('Flow', {
      destination: ec2.FlowLogDestination.toCloudWatchLogs(
        group, role(this, 'FlowRole', 'vpc-flow-logs.amazonaws.com', [])),
    });
  }
}

export class Data extends Base {
  readonly instance: rds.DatabaseInstance;
  readonly databaseGroup: ec2.SecurityGroup;
  readonly cacheGroup: ec2.SecurityGroup;
  readonly cache: elasticache.CfnServerlessCache;
  readonly artifacts: s3.Bucket;
  readonly repository: ecr.Repository;
  readonly sessions: dynamodb.Table;
  readonly jobs: sqs.Queue;
  readonly tokens: secrets.Secret;
  readonly providers: secrets.Secret[];
  readonly cacheUrl: secrets.Secret;

  constructor(app: cdk.App, common: Common, network: Network) {
    super(app, 'data');
    const key = common.key;
    const secret = (id: string, more: secrets.SecretProps = {}): secrets.Secret =>
      new secrets.Secret(this, id, { encryptionKey: key, description: id, ...more });
    this.databaseGroup = this.group(network, 'DatabaseGroup');
    this.instance = this.database(network, key);
    this.artifacts = bucket(this, 'Artifacts', {
      encryption: s3.BucketEncryption.KMS,
      encryptionKey: key,
      bucketKeyEnabled: true,
      lifecycleRules: [{ noncurrentVersionExpiration: cdk.Duration.days(30) }],
    }, common.accessLogs);
    this.tokens = secret('Tokens', {
      generateSecretString: { secretStringTemplate: '{}', generateStringKey: 'current' },
    });
    this.providers = ['openai', 'anthropic', 'langfuse'].map((name) => secret(name));
    const password = secret('CachePassword', {
      generateSecretString: {
        secretStringTemplate: '{"username":"service"}', generateStringKey: 'password',
      },
    });
    this.repository = new ecr.Repository(this, 'Images', {
      repositoryName: PREFIX,
      imageScanOnPush: true,
      imageTagMutability: ecr.TagMutability.IMMUTABLE,
      encryption: ecr.RepositoryEncryption.KMS,
      encryptionKey: key,
      lifecycleRules: [{ maxImageCount: 50 }],
    });
    this.cacheGroup = this.group(network, 'CacheGroup');
    this.cache = this.valkey(network, key, password);
    this.cacheUrl = secret('CacheUrl', {
      secretStringValue: cdk.SecretValue.unsafePlainText(
        `valkeys://service@${this.cache.attrEndpointAddress}:${this.cache.attrEndpointPort}/0`),
    });
    this.sessions = new dynamodb.Table(this, 'Sessions', {
      partitionKey: { name: 'session_id', type: dynamodb.AttributeType.STRING },
      billingMode: dynamodb.BillingMode.PAY_PER_REQUEST,
      timeToLiveAttribute: 'expires_at',
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      encryption: dynamodb.TableEncryption.CUSTOMER_MANAGED,
      encryptionKey: key,
      deletionProtection: true,
    });
    this.jobs = queues(this, key);
    this.backups(key);
  }

  private group(network: Network, id: string): ec2.SecurityGroup {
    return new ec2.SecurityGroup(this, id, {
      vpc: network.vpc, description: `${id} of ${PREFIX}`, allowAllOutbound: false,
    });
  }

  private database(network: Network, key: kms.IKey): rds.DatabaseInstance {
    for (const kind of ['postgresql', 'upgrade']) {
      logGroup(this, `${kind}Logs`, `/aws/rds/instance/${PREFIX}-database/${kind}`, key);
    }
    const engine = rds.DatabaseInstanceEngine.postgres({
      version: rds.PostgresEngineVersion.of('18', '18'),
    });
    const instance = new rds.DatabaseInstance(this, 'Database', {
      engine,
      instanceIdentifier: `${PREFIX}-database`,
      instanceType: new ec2.InstanceType('m7g.large'),
      vpc: network.vpc,
      vpcSubnets: network.database,
      securityGroups: [this.databaseGroup],
      databaseName: 'handbook',
      credentials: rds.Credentials.fromUsername('llmops', {
        password: cdk.SecretValue.unsafePlainText('managed'),
      }),
      parameterGroup: new rds.ParameterGroup(this, 'Parameters', {
        engine, parameters: { 'rds.force_ssl': '1' },
      }),
      allocatedStorage: 100,
      maxAllocatedStorage: 200,
      storageType: rds.StorageType.GP3,
      storageEncrypted: true,
      storageEncryptionKey: key,
      multiAz: true,
      backupRetention: cdk.Duration.days(30),
      iamAuthentication: true,
      deletionProtection: true,
      monitoringInterval: cdk.Duration.seconds(60),
      monitoringRole: role(this, 'MonitoringRole', 'monitoring.rds.amazonaws.com', [
        [['logs:PutLogEvents'], ['arn:aws:logs:us-east-1:333333333333:log-group:RDSOSMetrics*']],
      ]),
      enablePerformanceInsights: true,
      performanceInsightEncryptionKey: key,
      cloudwatchLogsExports: ['postgresql', 'upgrade'],
      removalPolicy: cdk.RemovalPolicy.SNAPSHOT,
    });
    const resource = instance.node.defaultChild as rds.CfnDBInstance;
    resource.masterUserPassword = undefined;
    resource.manageMasterUserPassword = true;
    resource.masterUserSecret = { kmsKeyId: key.keyArn };
    return instance;
  }

  private valkey(
    network: Network, key: kms.IKey, password: secrets.Secret,
  ): elasticache.CfnServerlessCache {
    const user = new elasticache.CfnUser(this, 'CacheUser', {
      engine: 'valkey',
      userId: `${PREFIX}-cache`,
      userName: 'service',
      accessString: 'on ~* &* +@all -@admin -@dangerous',
      authenticationMode: {
        Type: 'password', Passwords: [password.secretValueFromJson('password').unsafeUnwrap()],
      },
    });
    const users = new elasticache.CfnUserGroup(this, 'CacheUsers', {
      engine: 'valkey', userGroupId: `${PREFIX}-cache`, userIds: [user.ref],
    });
    return new elasticache.CfnServerlessCache(this, 'Cache', {
      engine: 'valkey',
      majorEngineVersion: '8',
      serverlessCacheName: `${PREFIX}-cache`,
      securityGroupIds: [this.cacheGroup.securityGroupId],
      subnetIds: network.vpc.selectSubnets(network.database).subnetIds,
      kmsKeyId: key.keyArn,
      userGroupId: users.ref,
      cacheUsageLimits: {
        dataStorage: { maximum: 1, unit: 'GB' }, ecpuPerSecond: { maximum: 5000 },
      },
    });
  }

  private backups(key: kms.IKey): void {
    const vault = new backup.BackupVault(this, 'Vault', {
      backupVaultName: `${PREFIX}-backup`,
      encryptionKey: key,
      blockRecoveryPointDeletion: true,
      lockConfiguration: { minRetention: cdk.Duration.days(30) },
    });
    const rule = (ruleName: string, day: string, days: number): backup.BackupPlanRule =>
      new backup.BackupPlanRule({
        ruleName,
        backupVault: vault,
        scheduleExpression: events.Schedule.cron({ minute: '0', hour: '3', day }),
        deleteAfter: cdk.Duration.days(days),
      });
    const plan = new backup.BackupPlan(this, 'Backup', {
      backupPlanName: `${PREFIX}-backup`,
      backupPlanRules: [rule('daily', '*', 35), rule('monthly', '1', 365)],
    });
    plan.addSelection('Selection', {
      role: role(this, 'BackupRole', 'backup.amazonaws.com', [
        [['rds:CreateDBSnapshot', 'rds:AddTagsToResource'], [this.instance.instanceArn]],
        [['dynamodb:StartAwsBackupJob', 'dynamodb:DescribeTable'], [this.sessions.tableArn]],
        [['s3:GetObjectVersion', 's3:ListBucketVersions'],
          [this.artifacts.bucketArn, this.artifacts.arnForObjects('*')]],
        [['kms:Decrypt', 'kms:GenerateDataKey'], [key.keyArn]],
      ]),
      disableDefaultBackupPolicy: true,
      resources: [this.instance.instanceArn, this.sessions.tableArn, this.artifacts.bucketArn]
        .map((arn) => backup.BackupResource.fromArn(arn)),
    });
  }
}

export class Rotation extends Base {
  readonly databaseUser: secrets.Secret;

  constructor(app: cdk.App, common: Common, network: Network, data: Data) {
    super(app, 'rotation');
    this.databaseUser = new secrets.Secret(this, 'DatabaseUser', {
      encryptionKey: common.key, description: 'The database user of the service',
    });
    this.rotate('RotateTokens', data.tokens, kitFunction(this, 'RotateTokens', 'rotate-tokens',
      common.key, [[['secretsmanager:PutSecretValue'], [data.tokens.secretArn]]]));
    const rotator = kitFunction(this, 'RotateDatabase', 'rotate-database', common.key,
      [[['secretsmanager:PutSecretValue'], [this.databaseUser.secretArn]],
        [['secretsmanager:GetSecretValue'], [data.instance.secret?.secretArn ?? '*']]],
      { vpc: network.vpc, subnets: network.service });
    this.rotate('RotateDatabase', this.databaseUser, rotator);
    new ec2.CfnSecurityGroupIngress(this, 'FromRotation', {
      groupId: data.databaseGroup.securityGroupId,
      sourceSecurityGroupId: rotator.connections.securityGroups[0].securityGroupId,
      ipProtocol: 'tcp',
      fromPort: 5432,
      toPort: 5432,
    });
  }

  private rotate(id: string, secret: secrets.ISecret, by: lambda.Function): void {
    const allowed = new lambda.CfnPermission(this, `${id}Allowed`, {
      action: 'lambda:InvokeFunction',
      functionName: by.functionArn,
      principal: 'secretsmanager.amazonaws.com',
      sourceArn: secret.secretArn,
    });
    new secrets.CfnRotationSchedule(this, `${id}Schedule`, {
      secretId: secret.secretArn,
      rotationLambdaArn: by.functionArn,
      rotationRules: { scheduleExpression: 'rate(30 days)' },
    }).addResourceDependency(allowed);
  }
}
